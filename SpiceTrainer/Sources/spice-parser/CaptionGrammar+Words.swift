extension CaptionGrammar {
    /// The words made-up captions are built of, the common ones first.
    enum Words {
        private static func list(_ text: String) -> [Substring] { text.split(whereSeparator: \.isWhitespace) }

        static let beings = list(
            """
            man woman people dog cat boy girl person baby elephant giraffe zebra horse bear bird child guy lady couple kid
            player sheep cow skateboarder surfer skier snowboarder batter catcher tennis player puppy kitten toddler
            teenager rider officer chef bull goat duck pigeon parrot animal herder crowd family team male female adult
            gentleman worker policeman cowboy goose seagull owl monkey lion polar bear cub calf foal lamb umpire pitcher
            """)
        static let things = list(
            """
            table street field plate bench building beach room bathroom toilet kitchen sign train tree bus water pizza
            bed grass sink board car truck umbrella clock chair window motorcycle food road ball bike snow wave bowl
            racket phone skateboard sky couch desk bat background kite frisbee laptop computer sandwich cake court shirt
            hat camera wall floor park cup mirror refrigerator surfboard airplane plane boat hydrant tower vase flower
            banana door donut picture wood glass counter hill sidewalk tub shower stove cabinet keyboard mouse tie suit
            book bottle wine knife fork broccoli carrot apple orange meat cheese salad bread rice soup box bag basket
            suitcase luggage backpack fence river lake ocean mountain forest bridge track station airport runway tarmac
            parking meter pole light lamp curtain blanket pillow rug carpet shelf drawer fireplace television remote
            monitor screen stall bicycle scooter cart carriage trailer van taxi jet helicopter ship canoe sail dock pier
            shore sand rock stone dirt mud pasture pen cage zoo circus stadium crowd game match team uniform helmet glove
            base mound plate net goal slope ski pole lift jump ramp rail trick air ground trunk tusk ear neck tail horn
            wing beak leg paw fur head face hand mouth eye hair beard glasses sunglass jacket coat dress skirt vest shoe
            boot sock scarf necklace watch ring toothbrush hairdryer brush comb towel soap bottle tile marble brick metal
            plastic paper cardboard leather statue monument church cathedral house home barn shed store shop market
            restaurant cafe bakery office school hospital hotel city town village intersection corner crosswalk traffic
            stop signal arrow graffiti billboard poster painting photo photograph image scene view display stand area lot
            row pile stack bunch piece slice half bite meal lunch dinner breakfast dessert snack drink coffee tea beer
            juice milk egg bacon sausage ham chicken fish shrimp steak burger fry potato onion pepper tomato lettuce
            cucumber bean corn pea mushroom olive sauce gravy syrup cream chocolate sugar frosting sprinkle candle
            """)
        static let compounds = list(
            """
            tennis_court tennis_racket baseball_game fire_hydrant living_room tennis_ball tennis_player teddy_bear
            baseball_player cell_phone stop_sign baseball_bat traffic_light street_sign train_station clock_tower
            parking_lot tennis_match wine_glass computer_desk park_bench baseball_field city_street train_tracks
            coffee_table parking_meter soccer_ball surf_board polar_bear dining_room ski_slope snow_board skate_park
            kitchen_counter bathroom_sink toilet_paper coffee_cup laptop_computer bath_tub dirt_road tile_floor
            pizza_pie bus_stop police_officer cutting_board picnic_table flower_vase baseball_glove computer_monitor
            computer_keyboard brick_wall brick_building passenger_train passenger_plane double_decker_bus stuffed_animal
            video_game flat_screen tv_screen book_shelf wood_table glass_vase chocolate_cake birthday_cake
            dining_table street_corner street_light soccer_game soccer_player air_plane motor_cycle wine_bottle
            remote_control swimming_pool stone_wall wire_fence office_chair paper_plate plastic_bag rain_coat
            police_car fire_truck race_track grass_field soccer_field tree_branch window_sill apartment_building
            """)
        static let adjectivesInCompounds: Set<String> = [
            "laptop", "skate", "video", "flat", "remote", "stuffed", "polar", "double", "surf", "snow_board",
        ]
        static let participlesInCompounds: Set<String> = ["living", "cutting"]
        static let adjectives = list(
            """
            large white black small young red green blue little brown yellow wooden old big tall orange several different
            other gray colorful open various grassy pink lush many beautiful parked empty dirty long silver cute dark
            hot clean busy snowy purple stuffed wet fluffy sandy modern single furry plastic metal bright nice short
            crowded full tan fresh sunny cooked ripe striped huge broken rocky giant sliced wild purple decorative
            cloudy antique stone older skinny bare fried baked assorted striped fancy dry cluttered rusty elderly
            adult female male rural commercial electric vintage public multiple numerous clear shallow steep cold
            enclosed glazed glowing mixed covered decorated chopped painted mounted beige dead modern messy narrow wide golden round square tiny rainy shiny floral leather elegant ornate plain sweet healthy
            """)
        static let numbers = list("two three four five six seven eight nine ten one")
        static let quantities = list("several some many")
        static let groups = list(
            "group herd couple bunch plate bowl row flock pile slice piece picture view photo crowd pair stack bag cup")
        static let transitive = list(
            """
            holding riding playing wearing eating flying carrying swinging throwing catching hitting using pulling
            watching taking walking cutting making preparing talking brushing feeding drinking pushing serving facing
            reading jumping crossing driving kicking petting chasing washing surfing passing kissing licking cooking
            """)
        static let intransitive = list(
            """
            sitting standing walking laying looking lying flying riding hanging playing running skiing parked skateboarding
            grazing traveling jumping surfing sleeping driving swimming leaning talking sailing smiling posing resting
            moving floating eating kneeling crossing waiting perched snowboarding going coming landing staring bending
            """
        ).filter { $0.hasSuffix("ing") }
        static let participles = list(
            """
            parked filled covered topped surrounded seated dressed made decorated loaded placed attached stuffed mounted
            stacked tied lined displayed set cut shown equipped painted perched located docked piled lit built served
            """)
        /// How often the reference's parser takes a participle for a noun after a singular first noun.
        static let nounsInIng = [
            "standing": 0.92, "playing": 0.85, "running": 0.85, "paddling": 0.8, "grazing": 0.9, "holding": 0.75,
            "riding": 0.25, "swinging": 0.2, "eating": 0.2,
        ]
        /// Those it takes for nouns behind other nouns too.
        static let nounsInIngAnywhere: Set<String> = ["standing", "grazing"]
        static let transitiveBases = list(
            """
            hold ride play wear eat fly carry swing throw catch hit use pull watch take cut make prepare feed drink push
            serve face read cross kick display show chase feature contain grab approach lead enjoy lift examine
            check touch sniff lick kiss clean brush wash paint help put make fill cover join teach ask
            """)
        static let intransitiveBases = list(
            """
            sit stand walk lay look lie fly ride hang play run ski graze travel jump surf sleep drive swim lean talk
            smile pose rest float wait stare stop go come land gather paddle engage peek lead roll head skateboard slide climb pass kneel
            crouch perch swing rise glide march graze feed drink work talk pull jog relax lounge bend reach
            """)
        static let verbPrepositions = list(
            """
            on in at with down along near through by into from over across to behind around under for against
            towards onto during upon underneath beneath inside outside among past off between
            """)
        static let nounPrepositions = list(
            """
            with on in at near by for behind under beside from over above inside around outside during beneath
            underneath without between among below
            """)

        static func plural(_ noun: Substring) -> String {
            switch noun {
            case "man", "woman", "policeman", "gentleman": return noun.dropLast(2) + "en"
            case "child": return "children"
            case "person": return "people"
            case "foot": return "feet"
            case "sheep", "people", "tracks", "glasses": return String(noun)
            case "knife", "calf", "shelf", "half": return noun.dropLast(noun.hasSuffix("fe") ? 2 : 1) + "ves"
            default: break
            }
            if noun.hasSuffix("s") || noun.hasSuffix("sh") || noun.hasSuffix("ch") || noun.hasSuffix("x") {
                return noun + "es"
            }
            if noun.hasSuffix("y"), let before = noun.dropLast().last, !"aeiou".contains(before) {
                return noun.dropLast() + "ies"
            }
            return noun + "s"
        }

        static func third(_ verb: String) -> String {
            switch verb.last {
            case "h" where verb.hasSuffix("ch") || verb.hasSuffix("sh"), "s", "x": return verb + "es"
            case "o": return verb + "es"
            case "y" where !"aeiou".contains(verb.dropLast().last ?? "a"): return verb.dropLast() + "ies"
            default: return verb + "s"
            }
        }
    }
}
